package main

// goal is a figure that was aimed at. Nothing fails by it.
type goal struct {
	what, aim, got string
	reached        bool
}

// reached prints the goals of the parts that ran.
func (b *bed) reached() {
	b.say("\n### Aimed at and reached\n")
	rows := [][]string{{"what", "aimed at", "measured", "reached"}}
	for _, g := range b.goals {
		word := "no"
		if g.reached {
			word = "yes"
		}
		rows = append(rows, []string{g.what, g.aim, g.got, word})
	}
	table(b.out, 4, rows...)
}
