"""The whole study on one page: tables, figures and claims, from records and the paper alone."""
