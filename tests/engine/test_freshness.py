"""One rule of freshness: what the terminal says, what a run does and what Dagster's UI marks agree."""

import json
from dataclasses import replace

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner
from conftest import Made, members

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.automation.planner import Planner
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.cli.main import main
from vlmine_dagster.cli.status import table_states
from vlmine_dagster.definitions import build_definitions, defs
from vlmine_dagster.domain.errors import ContractError, VlmineError
from vlmine_dagster.domain.tables import TABLES, WHOLE_POOL
from vlmine_dagster.engine import making
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.stage import Unit
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.engine.versions import code_versions, experiment_versions
from vlmine_dagster.settings.plain_paths import plain_path

EDITS = [
    {"keyworder": {"kind": "rules"}},
    {"describer": {"kind": "tagger", "top": 3}},
    {"task_model": {"kind": "probe", "members": 2}},
    {"dataset": {"max_pixels": 10**7}},
    {"dataset": {"max_failure_share": 0.9}},
    {"dataset": {"labels": {"draw": 1}}},
    {"retraining": {"epochs": 7}},
    {"budget": 3},
    {"experiments": {"entropy": {"budget": 4}}},
    {"name": "another"},
]
ASKED_FOR = {"pareto_set": ("vocab_counts",), "mining_report": ("novelty_scores", "vocab_counts")}
"""Tables of which a stage asks whether they are declared."""
FOLLOWS_KEYWORDS = {"keywords", "vocab_counts", "novelty_scores", "rarity_scores", "pareto_set"}


def states(made: Made) -> dict[tuple[str, str], str]:
    """The state of every partition of every table."""
    freshness = Freshness(GRAPH, made.bench, made.bench.source.shards())
    return {
        (unit.stage.table, name): freshness.state(unit, name)
        for unit in GRAPH.applicable(made.project)
        for name in unit.stage.partitions(made.project, made.bench.source.shards())
    }


def merged(content, edit):
    """Settings with an edit, which may reach into them."""
    both = {name: merged(content[name], edit[name]) for name in content.keys() & edit if isinstance(edit[name], dict)}
    return {**content, **edit, **both}


def observed() -> dict[str, str]:
    """The data version last observed of each experiment, in the instance that DAGSTER_HOME names."""
    with dg.DagsterInstance.get() as instance:
        records = instance.fetch_observations(dg.AssetKey("experiments"), limit=100).records
    seen = [record.asset_observation for record in reversed(records)]
    return {one.partition: one.tags["dagster/data_version"] for one in seen}


def test_a_changed_keyworder_makes_all_that_follows_stale(finished: Made):
    finished.settings(keyworder={"kind": "rules"})

    found = states(finished)

    assert {table for (table, _), state in found.items() if state == "stale"} >= FOLLOWS_KEYWORDS | {"mining_report"}
    assert found["pareto_set", "entropy"] == "stale"  # images whose keywords failed are mined by nobody
    assert found["uncertainty_scores", "pool/a"] == found["task_model", "pool"] == "fresh"
    assert found["mining_report", "pareto"] == "stale"
    assert {found[table, "pool/a"] for table in ("images", "embeddings", "descriptions")} == {"fresh"}


def test_status_in_the_terminal_and_as_json_say_the_same(finished: Made, monkeypatch):
    finished.settings(keyworder={"kind": "rules"})
    monkeypatch.chdir(finished.folder)

    told = json.loads(CliRunner().invoke(main, ["status", "--json"], catch_exceptions=False).stdout)
    rows = {row["table"]: row["not_fresh"] for row in table_states(finished.bench, finished.bench.source.shards())}

    assert {row["table"]: row["not_fresh"] for row in told} == rows
    assert rows["vocab_counts"] == [WHOLE_POOL]
    assert rows["embeddings"] == []


def test_the_planner_starts_with_the_first_wave_that_is_not_current(finished: Made):
    assert Planner(finished.bench, finished.bench.source.shards()).next_batches() == []
    finished.settings(keyworder={"kind": "rules"})

    batches = Planner(finished.bench, finished.bench.source.shards()).next_batches()

    assert {unit.stage.table for one in batches for unit in one.units} == {"keywords"}
    assert {one.first for one in batches} == set(finished.bench.source.shards())


class TestReads:
    """A stage can read only what it declares."""

    @staticmethod
    def run_of(made: Made, unit: Unit, graph, partition: str) -> StageRun:
        return StageRun(
            unit.stage,
            graph,
            made.bench,
            partitions=[partition],
            variant=unit.variant,
            shards=made.bench.source.shards(),
            config=unit.stage.config(),
            log=dg.get_dagster_logger(),
            run_id="test",
        )

    def test_an_undeclared_table_or_column_is_refused_by_name(self, finished: Made):
        run = self.run_of(finished, Unit(GRAPH.stage_of("embeddings")), GRAPH, "pool/a")

        with pytest.raises(
            ContractError, match=r"embeddings\[pool/a\] reads the table keywords, which it does not declare"
        ):
            run.read("keywords")
        with pytest.raises(ContractError, match=r"embeddings\[pool/a\] reads items.label, which it does not declare"):
            run.read("items", ["label"])
        with run.connect("items") as connection, pytest.raises(Exception, match="label"):
            connection.sql("SELECT label FROM items").fetchall()
        assert not hasattr(run, "lake")

    @pytest.mark.parametrize("table", [stage.table for stage in GRAPH.stages if stage.reads])
    def test_every_stage_works_with_what_it_declares_and_not_with_less(self, finished: Made, table):
        if table in ("neighbour_scores",):
            finished.settings(experiments={"far": {"signals": ["embedding_sparsity", "entropy"]}})
        if table in ("objects", "unmatched_boxes"):
            (finished.folder / "boxes.csv").write_text("image_id,x,y,width,height,label\ncoffee-0,9,9,60,50,cup\n")
            finished.settings(objects={"boxes": "boxes.csv"})
        unit = Unit(GRAPH.stage_of(table))
        of_partitions = {
            name: unit.stage.needed(unit.part(finished.project, name))
            for name in unit.stage.partitions(finished.project, ["pool/a"])
        }
        partition, needed = max(of_partitions.items(), key=lambda one: len(one[1]))  # the experiment that reads most
        freshness = Freshness(GRAPH, finished.bench, finished.bench.source.shards())
        if table == "shard_duplicates":
            making.make(self.run_of(finished, Unit(GRAPH.stage_of("duplicates")), GRAPH, WHOLE_POOL), freshness)
            freshness = Freshness(GRAPH, finished.bench, finished.bench.source.shards())

        made = making.make(self.run_of(finished, unit, GRAPH, partition), freshness)
        assert made[partition].version

        for reads in {one.table: one for one in needed if not one.is_optional}.values():
            smaller = replace(unit.stage, reads=tuple(one for one in unit.stage.reads if one.table != reads.table))
            run = self.run_of(finished, Unit(smaller), GRAPH, partition)
            run.inputs, run.origin = "anything", ""
            if reads.table == "junk":  # a list has a lane if the table is declared
                rows = smaller.compute(run).rows
                assert rows.column("junk").null_count == rows.num_rows
                continue
            if reads.table in ASKED_FOR.get(table, ()):  # without its declaration less is shown, and nothing is read
                assert smaller.compute(run).rows.num_rows
                continue
            with pytest.raises((VlmineError, Exception), match=r"does not declare"):
                smaller.compute(run).record()  # some is read for MLflow alone


class TestDagster:
    """Dagster marks what `vlmine status` marks."""

    @staticmethod
    def marked(made: Made) -> set[tuple[str, str]]:
        """(asset, partition) pairs that Dagster takes for stale, by what its UI compares."""
        definitions = build_definitions(made.project, settings_file=str(made.file))
        graph = definitions.resolve_asset_graph()
        found = set()
        for unit in GRAPH.applicable(made.project):
            for name in unit.stage.partitions(made.project, made.bench.source.shards()):
                where = None if name == WHOLE_POOL else [name]
                records = made.instance.fetch_materializations(dg.AssetRecordsFilter(unit.key, where), limit=1).records
                tags = records[0].asset_materialization.tags
                if tags["dagster/code_version"] != graph.get(unit.key).code_version:
                    found.add((unit.stage.table, name))
        return found

    def test_settings_mark_the_same_assets_in_both(self, make_project):
        made = make_project(
            {"a": members({"coffee": 4}, start=0), "b": members({"coffee": 2, "rocket": 1}, start=10)},
            experiments={"rare": {"signals": ["novelty_min"]}},
        )
        assert made.run().is_whole
        assert self.marked(made) == set()
        made.settings(keyworder={"kind": "rules"})

        marked = self.marked(made)
        stale = {place for place, state in states(made).items() if state == "stale"}

        of_shards_and_pool = {place for place in stale if place[1] != "rare"}
        assert marked == of_shards_and_pool == {
            ("keywords", "a"), ("keywords", "b"), ("vocab_counts", "pool"), ("novelty_scores", "a"),
            ("novelty_scores", "b"),
        }  # fmt: skip
        assert made.run().is_whole
        assert self.marked(made) == set()

    def test_an_experiment_is_marked_by_its_own_entry_and_by_how_what_it_reads_is_made(self, finished: Made):
        before = experiment_versions(GRAPH, finished.project)
        arms = {name: arm.model_dump(mode="json") for name, arm in finished.project.settings.experiments.items()}
        finished.settings(experiments={**arms, "entropy": {**arms["entropy"], "budget": 3}})
        one = experiment_versions(GRAPH, finished.project)
        finished.settings(experiments=arms, describer={"kind": "tagger", "top": 3})
        words = experiment_versions(GRAPH, finished.project)

        assert {name for name in before if before[name] != one[name]} == {"entropy"}
        assert {name for name in before if before[name] != words[name]} == set(before)

    def test_after_an_edit_both_mark_the_same_once_definitions_are_loaded(self, finished: Made, tmp_path, monkeypatch):
        monkeypatch.setenv("DAGSTER_HOME", str(plain_path(tmp_path)))
        monkeypatch.setenv("VLMINE_PROJECT", str(finished.file))
        arms = {name: arm.model_dump(mode="json") for name, arm in finished.project.settings.experiments.items()}
        content = {**yaml.safe_load(finished.file.read_text()), "experiments": arms}
        finished.file.write_text(yaml.safe_dump(content))
        before, codes = experiment_versions(GRAPH, finished.project), code_versions(GRAPH, finished.project)
        differing = {}
        for edit in EDITS:
            finished.file.write_text(yaml.safe_dump(merged(content, edit)))
            defs()
            after, now = observed(), code_versions(GRAPH, finished.project)
            found = states(finished)
            recoded = {unit.stage.table for unit in codes if codes[unit] != now[unit]}
            lists = {place for place in found if TABLES[place[0]].partition == "experiment"}
            marked = {place for place in found if place[0] in recoded}
            moved = {name for name in before if before[name] != after[name]}
            marked |= {(table, name) for table, name in lists if name in moved}
            marked |= {("mining_report", name) for name in before if moved}  # it shows its rivals' recall
            stale = {place for place, state in found.items() if state == "stale"}
            if marked != stale:
                differing[str(edit)] = {"Dagster alone": marked - stale, "status alone": stale - marked}
        assert differing == {}

    def test_what_stays_fresh_after_a_change_upstream_is_confirmed(self, finished: Made):
        assert finished.run().materialized == []
        labels = (finished.folder / "labels.csv").read_text()
        (finished.folder / "labels.csv").write_text(labels.replace("rocket-0,pool,rocket", "rocket-0,seed,rocket"))

        outcome = finished.run()

        assert ("images", "pool/a") in outcome.materialized
        assert not any(table == "embeddings" for table, _ in outcome.materialized)
        (record,) = finished.instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey("embeddings"), ["pool/a"]), limit=1
        ).records
        assert "Still up to date" in str(record.asset_materialization.description)
        assert (
            record.asset_materialization.tags["dagster/code_version"]
            == code_versions(GRAPH, finished.project)[Unit(GRAPH.stage_of("embeddings"))]
        )

    def test_after_an_upgrade_tables_are_confirmed_with_what_they_depend_on_now(self, finished: Made):
        assert finished.run().materialized == []
        codes = code_versions(GRAPH, finished.project)
        file = finished.project.state_folder("dagster") / "code_versions.json"
        file.write_text(json.dumps({unit.key.to_user_string(): code for unit, code in codes.items()}))  # as before

        assert finished.run().materialized == []
        (record,) = finished.instance.fetch_materializations(dg.AssetKey("vocab_counts"), limit=1).records
        made = record.asset_materialization
        assert "Still up to date" in str(made.description)
        inputs = {name.removeprefix("dagster/input_data_version/") for name in made.tags if "input_data" in name}
        assert inputs == {key.to_user_string() for key in self.upstream(finished, "vocab_counts")}
        assert finished.run().materialized == []
        (again,) = finished.instance.fetch_materializations(dg.AssetKey("vocab_counts"), limit=1).records
        assert again.storage_id == record.storage_id

    @staticmethod
    def upstream(made: Made, name: str) -> set[dg.AssetKey]:
        definitions = build_definitions(made.project, settings_file=str(made.file))
        return set(definitions.resolve_asset_graph().get(dg.AssetKey(name)).parent_keys)

    def test_the_dataset_is_observed(self, finished: Made):
        runner = Runner(str(finished.file), finished.instance)
        assert runner.run().is_whole
        key = dg.AssetKey("dataset")
        before = finished.instance.fetch_observations(key, limit=100).records
        finished.replace_shard("pool/a", members({"coffee": 5}, start=70))
        assert finished.run(shards=["pool/b"]).is_whole
        finished.run()

        after = finished.instance.fetch_observations(key, limit=100).records

        assert {record.asset_observation.partition for record in before} == {"pool/a", "pool/b", "pool/c", "test/t"}
        assert [record.asset_observation.partition for record in after[: len(after) - len(before)]] == ["pool/a"]
        others = finished.instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey("embeddings"), ["pool/b"]), limit=9
        ).records
        told = [str(record.asset_materialization.description) for record in others]
        assert not any("Still up to date" in text for text in told)  # nothing that it depends on was made
