//! Nodes with one deliberate fault each: what shows that a judge sees.
