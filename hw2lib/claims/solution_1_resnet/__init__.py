"""Claims of Solution 1: ResNet-18 as a piece of code."""
