"""Privacy: customer ids and consent flags in, pseudonyms and consenting customers out."""
