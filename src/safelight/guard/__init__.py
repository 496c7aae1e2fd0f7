"""Before a served model: who may ask how much, what an answer still holds, and a log of it all."""
