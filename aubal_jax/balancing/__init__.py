"""The balancing problem: objective, relaxation, solvers, proof, rounding."""
