"""Explain: where in a picture a word is seen, which words a product is near, why it was found, and what lies by what.

from pluribus import explain, search
shop = search.open(".pluribus", "atelier")
explain.heat(shop, "red", product_id="AT-1000").overlay()     # PNG
explain.why(shop, "red dress", "AT-1000")
explain.concepts(shop, product_id="AT-1000")
explain.concept_map(shop)
explain.improbable(shop, Path("shoe.jpg"), "a sneaker of straw", ["a sneaker", "a straw hat"])
"""

from pluribus.explain.grounding import METHODS, Heat, heat, heat_of, pictured
from pluribus.explain.improbable import Improbable, Said, improbable
from pluribus.explain.maps import ConceptMap, Point, concept_map
from pluribus.explain.reasons import Concept, Why, concepts, why

__all__ = ["METHODS", "Concept", "ConceptMap", "Heat", "Improbable", "Point", "Said", "Why", "concept_map", "concepts",
           "heat", "heat_of", "improbable", "pictured", "why"]  # fmt: skip
