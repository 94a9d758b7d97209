"""The three ways of training: their generators and what is special to each."""
