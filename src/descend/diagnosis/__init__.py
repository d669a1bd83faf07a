"""Why a run does not learn, with proof; what is wrong with a training program."""
