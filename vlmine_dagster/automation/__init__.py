"""When and where things are made: the planner, runs, schedules, sensors."""
