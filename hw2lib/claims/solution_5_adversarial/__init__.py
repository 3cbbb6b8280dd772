"""Claims of Solution 5: a trained network, and what small perturbations do to it."""
