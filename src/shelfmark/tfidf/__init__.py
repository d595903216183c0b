"""scikit-learn's TfidfVectorizer, exact and fast; independent of papers."""
