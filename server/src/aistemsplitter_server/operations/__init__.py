"""Operations across all accounts, for the operator only."""
