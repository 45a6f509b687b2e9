package main

import (
	"fmt"
	"strings"

	shopv1 "m3o/pkg/shop/v1"
)

// What made-up things are made of. The number of combinations is what is there before names get a number.
var (
	goodsMaterials = []string{
		"Oak", "Walnut", "Beech", "Ash", "Bamboo", "Linen", "Cotton", "Wool", "Felt", "Leather", "Canvas", "Cork",
		"Brass", "Copper", "Steel", "Iron", "Aluminium", "Enamel", "Glass", "Stoneware", "Porcelain", "Concrete", "Marble", "Rattan",
	}
	goodsThings = []struct {
		name  string
		from  int // the price of the cheapest, in cents
		about string
	}{
		{"Desk Lamp", 4900, "Throws a warm light on a desk and on nobody's screen."},
		{"Bookend", 1900, "Keeps a shelf upright. Sold singly: two make a pair."},
		{"Coat Hook", 1200, "Carries a winter coat with a full bag over it."},
		{"Serving Tray", 3400, "Breakfast for two, from the kitchen to the bed."},
		{"Plant Pot", 2200, "Has a hole in the bottom and a saucer under it."},
		{"Wall Clock", 5900, "Silent movement; one cell lasts two years."},
		{"Pen Holder", 1500, "For twelve pens, of which three write."},
		{"Coaster Set", 1600, "Four coasters that do not stick to the glass."},
		{"Fruit Bowl", 3900, "Wide and low, so that nothing rots unseen."},
		{"Picture Frame", 2700, "For a print of 30 × 40 cm, with a mount of acid-free board."},
		{"Side Table", 12900, "Stands on three legs, and so on any floor."},
		{"Stool", 8900, "Low enough to tie shoes on, strong enough to change a bulb from."},
		{"Door Stop", 1400, "Heavy, quiet and kind to floors."},
		{"Key Rack", 2100, "Six hooks and a ledge for the post."},
		{"Candle Holder", 1800, "Takes candles of 22 mm and catches what they drip."},
		{"Storage Box", 2900, "With a lid that fits on the bottom of the next one."},
		{"Letter Opener", 1700, "Balanced, blunt to fingers and sharp to paper."},
		{"Mirror", 7900, "Round, 60 cm, with a hidden fixing."},
		{"Umbrella Stand", 6400, "Holds eight and lets them drip into a dish."},
		{"Salt Cellar", 1300, "With a small spoon, and a lid against the steam."},
		{"Trivet", 1600, "Takes a pot from the oven without a mark on the table."},
		{"Laptop Stand", 4200, "Lifts a screen to where the neck wants it."},
		{"Pencil Case", 2400, "Opens flat and closes with one hand."},
		{"Wine Rack", 5200, "Six bottles, lying. It can be stacked."},
		{"Cutting Board", 3600, "End to end, so that knives stay sharp."},
		{"Magazine Rack", 3800, "For what one means to read."},
		{"Bird Feeder", 2600, "Hangs where the cat cannot go."},
		{"Bath Mat", 2300, "Dry in an hour, washed at 60 degrees."},
		{"Tea Caddy", 2000, "Closes airtight, for 200 g of leaves."},
		{"Egg Cup", 900, "Holds eggs of every size, warm."},
		{"Shelf", 6900, "80 cm, fixed with two screws that nobody sees."},
		{"Paperweight", 1900, "Says that something is to be done soon."},
		{"Doorbell", 3300, "One clear note. No battery, no app."},
		{"Hand Mirror", 2400, "Two sides: as one is, and twice as large."},
		{"Bread Box", 4600, "Keeps a loaf for four days, ventilated at the back."},
		{"Spice Rack", 3100, "Twelve jars, with labels to write on."},
		{"Waste Basket", 2800, "Twelve litres, with a rim that hides the bag."},
		{"Toy Train", 3500, "Three wagons, rounded edges, from three years on."},
		{"Chess Set", 7400, "Pieces with weight in their feet, on a folding board."},
		{"Watering Can", 2700, "A long spout for the plants at the back."},
		{"Soap Dish", 1100, "Lets the water out and keeps the soap."},
		{"Footrest", 4400, "Tilts as the feet want it."},
	}
	goodsFinishes = []string{"oiled by hand", "with a matt finish", "polished", "left as it grew", "in a limited series", "made in small batches"}

	firstNames = []string{
		"Ada", "Alan", "Barbara", "Claude", "Dorothy", "Edsger", "Emmy", "Frances", "George", "Grace", "Hedy", "Ivan",
		"Joan", "John", "Katherine", "Ken", "Lynn", "Margaret", "Maurice", "Niklaus", "Radia", "Rozsa", "Sophie", "Tony",
	}
	lastNames = []string{
		"Abel", "Baker", "Castro", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ito", "Jansen", "Kim", "Larsen",
		"Moreau", "Novak", "Okafor", "Petrov", "Quinn", "Rossi", "Silva", "Tanaka", "Ueda", "Vogel", "Weber", "Young",
	}
)

// madeUpDomain ends the addresses of made-up users: nobody can have one there (RFC 2606).
const madeUpDomain = "@shop.example.com"

// madeUpProducts are n products, always the same ones in the same order, each name once.
func madeUpProducts(n int) []*shopv1.AddProductRequest {
	all := make([]*shopv1.AddProductRequest, n)
	for i := range all {
		material, round := goodsMaterials[i%len(goodsMaterials)], i/len(goodsMaterials)
		thing := goodsThings[(i+round)%len(goodsThings)]
		all[i] = &shopv1.AddProductRequest{
			Name:        numbered(material+" "+thing.name, round/len(goodsThings)),
			Description: fmt.Sprintf("%s %s, %s.", thing.about, material, goodsFinishes[mixed(i)%len(goodsFinishes)]),
			Price:       int32(thing.from + mixed(i)%40*50),
			Stock:       int32(5 + mixed(i+1)%200),
		}
	}
	return all
}

// madeUpUsers are n users without a password, always the same ones in the same order, each address once.
func madeUpUsers(n int) []*shopv1.RegisterUserRequest {
	all := make([]*shopv1.RegisterUserRequest, n)
	for i := range all {
		first, round := firstNames[i%len(firstNames)], i/len(firstNames)
		last := lastNames[(i+round)%len(lastNames)]
		name := numbered(first+" "+last, round/len(lastNames))
		all[i] = &shopv1.RegisterUserRequest{Username: name, Email: strings.ToLower(strings.ReplaceAll(name, " ", ".")) + madeUpDomain}
	}
	return all
}

// numbered is a name with the number of the round in which it comes again.
func numbered(name string, round int) string {
	if round == 0 {
		return name
	}
	return fmt.Sprintf("%s %d", name, round+1)
}

// mixed is a number that looks like chance and is always the same (Knuth's multiplicative hash).
func mixed(i int) int { return int(uint32(i) * 2654435761 >> 8) }
