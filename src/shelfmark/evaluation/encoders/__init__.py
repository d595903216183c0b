"""The evaluation of encoders: retrieval on papers that none of them was trained on, and speed."""
