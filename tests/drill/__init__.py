"""Fault runs: the program is killed at random moments and its alerts are compared with an undisturbed run's."""
