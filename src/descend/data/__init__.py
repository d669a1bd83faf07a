"""From files to batches: readers, corpora, tokenizers, token stores."""
