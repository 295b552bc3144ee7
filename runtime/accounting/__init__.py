"""What calls cost: prices, settlement, the journal, and its way into the ledger. Integer nano-dollars throughout."""
