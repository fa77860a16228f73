"""One module per kind of model that mined sets are judged with."""
