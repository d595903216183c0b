"""scikit-learn's TfidfVectorizer, exact and fast; it knows no paper."""
