"""Queries for things of many trades. A shop is asked those of whose words it has none: it does not sell them."""

FOREIGN: tuple[str, ...] = (
    "wireless keyboard", "usb charging cable", "laptop docking station", "laser printer toner", "graphics card",
    "hard disk drive", "noise cancelling headphones", "smartphone screen protector", "router antenna",
    "computer mouse", "projector", "webcam tripod", "memory card reader", "ethernet switch", "power supply unit",
    "single malt whisky", "bourbon barrel aged", "vodka liqueur", "sparkling wine", "tequila blanco",
    "gin botanicals", "craft beer", "coffee beans espresso", "green tea leaves", "olive oil", "dark chocolate",
    "breakfast cereal", "tomato ketchup", "frozen pizza", "organic milk", "dog food", "cat litter", "bird cage",
    "aquarium filter", "horse saddle", "bookshelf", "dining table", "office chair", "bed frame mattress",
    "kitchen cabinet", "bathroom mirror", "shower curtain", "garden hose", "lawn mower", "cordless drill",
    "hammer nails", "paint roller", "light bulb", "door handle", "ladder aluminium", "summer dress", "denim jeans",
    "leather boots", "wool scarf", "bikini swimsuit", "silk necktie", "wedding gown", "winter gloves",
    "running shoes", "yoga mat", "tennis racket", "football goal", "fishing rod", "bicycle tyre", "golf clubs",
    "ski goggles", "dumbbell set", "camping stove", "sleeping bag", "lipstick", "shampoo conditioner", "toothbrush",
    "perfume", "sunscreen lotion", "nail polish", "razor blades", "diapers", "baby stroller", "teddy bear",
    "jigsaw puzzle", "board game", "electric guitar", "piano keyboard stand", "drum sticks", "crime novel",
    "cookbook", "fountain pen", "wall calendar", "wrapping paper", "printer paper", "car battery", "motor oil",
    "windscreen wiper", "motorcycle helmet", "vitamin tablets", "plaster bandage", "wheelchair", "hearing aid",
    "contact lenses", "seed potatoes", "fertiliser", "tractor parts", "concrete mixer", "steel pipe", "copper wire",
    "solar panel",
)  # fmt: skip
