"""Child processes that decode users' files: what they are given, and what they are refused."""
