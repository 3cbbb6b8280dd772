"""Claims of Solution 2: minimising ‖X − AB‖²."""
