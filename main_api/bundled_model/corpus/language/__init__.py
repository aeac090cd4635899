"""What every kind of request is made of: phrase files, the word list, politeness and slips, grammar."""
