"""The parts of the report that follow from asks and yeses: each what its numbers say, and its template's facts."""
