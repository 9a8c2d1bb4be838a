"""Taking what an index holds away: tables of items, labels, decisions and vectors."""
