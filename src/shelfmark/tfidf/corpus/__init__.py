"""The vocabulary of a corpus that no memory holds, learnt part by part."""
