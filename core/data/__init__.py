"""Texts, questions and labelled examples, bundled or brought, one reader each. Imports models, and what is below."""
