"""Describers and keyworders as `vlmine.yaml` names them: resources and mining put together."""
