"""What everything is about: tables, signals, errors."""
