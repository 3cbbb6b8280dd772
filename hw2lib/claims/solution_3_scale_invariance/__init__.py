"""Claims of Solution 3: functions with f(λx) = f(x)."""
