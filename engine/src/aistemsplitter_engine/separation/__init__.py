"""Separating a track of any length as a stream: blocks of audio in, blocks of stems out."""
