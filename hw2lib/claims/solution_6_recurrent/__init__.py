"""Claims of Solution 6: why recurrent networks are hard to train."""
