"""What the gateway remembers, asked by topic. Stores keep what they are given; ids, times and decisions come from services."""
