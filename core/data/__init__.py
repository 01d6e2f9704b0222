"""Texts, questions and labelled examples, one reader each."""
