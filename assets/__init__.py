"""Software-defined assets, one module a stage: read, call downstairs, write, return facts."""
