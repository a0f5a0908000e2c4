"""Pruning: weights by magnitude, little by little, whole channels, lottery tickets."""
