"""Pure functions of the mining method: arrays and lists in, arrays out, no I/O."""
