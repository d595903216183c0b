"""TF-IDF, linear scorers and XGBoost."""
