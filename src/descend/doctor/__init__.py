"""Why a run does not learn, with proof."""
