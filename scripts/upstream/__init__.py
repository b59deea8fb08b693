"""Other projects' own test suites, run on what this package puts in the place of theirs."""
