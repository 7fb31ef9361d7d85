"""Mel-Band RoFormer and BS-RoFormer: one network, and MSST's treatment of a track."""
