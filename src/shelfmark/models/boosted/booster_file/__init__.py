"""`booster.ubj`: every byte is checked before XGBoost, which trusts what it opens, sees one."""
