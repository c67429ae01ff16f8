verb_inventory() { :; }
