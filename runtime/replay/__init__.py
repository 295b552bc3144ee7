"""Answers that are given again: to a request that came twice, to one that says the same, to one that means it."""
