"""Which source column means what: a shop's own names, found by an alias table where its configuration says nothing.

Names are compared without case, spaces, punctuation and the "g:" of Google's namespace, so "Product Name",
"product_name" and "productName" are one. Earlier aliases win.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from pluribus.errors import FeedError

#: canonical column -> customary source names, best first, as `plain` writes them
ALIASES: dict[str, tuple[str, ...]] = {
    "product_id": (
        "productid id sku variantsku itemid offerid itemsku sellersku variantid uniqid uid articleid articlenumber "
        "articleno article artikelnummer itemnumber itemno styleid asin productcode code reference referenceid ref "
        "productsku key mpn upc ean gtin barcode _id"
    ).split(),
    "group_id": (
        "itemgroupid groupid groupe parentid parentsku parent parentproductid configurablesku modelid masterid "
        "productgroupid variantof handle"
    ).split(),
    "title": (
        "title name productname productdisplayname producttitle itemname itemtitle displayname designation "
        "titel titre titulo nombre nome naam bezeichnung artikelname produktname nazwa model"
    ).split(),
    "description": (
        "description productdescription longdescription bodyhtml body htmldescription fulldescription desc "
        "descriptionhtml beschreibung produktbeschreibung descripcion descrizione omschrijving opis "
        "shortdescription summary details"
    ).split(),
    "brand": (
        "brand brandname manufacturer vendor supplier designer maker producer label marke hersteller marque marca "
        "merk producent"
    ).split(),
    "category": (
        "producttype categorypath productcategory category categories categoryname googleproductcategory "
        "type subcategory articletype mastercategory breadcrumb breadcrumbs department kategorie warengruppe "
        "categorie categoria kategoria categorytext standardizedproducttype productcategorystandard"
    ).split(),
    "colour": "color colour basecolor basecolour colorname colourname primarycolor farbe couleur kleur colore kolor".split(),
    "size": "size sizename sizes grosse groesse taille talla taglia maat rozmiar volume".split(),
    "gender": "gender targetgender sex googleshoppinggender geschlecht genre genero genere".split(),
    "material": "material materials fabric composition materialtype googleshoppingmaterial matiere materiale".split(),
    "price": (
        "price regularprice listprice originalprice retailprice fullprice unitprice priceamount pricevalue "
        "variantprice standardprice pricewithvat pricevat priceinclvat priceincludingtax pricettc pricetaxincl "
        "pricetaxincluded itemprice preis prix precio prezzo prijs cena msrp currentprice amount priceusd priceeur"
    ).split(),
    "sale_price": (
        "saleprice specialprice discountprice discountedprice promoprice promotionprice offerprice reducedprice "
        "salepriceamount salepricevalue finalprice angebotspreis aktionspreis"
    ).split(),
    "currency": (
        "currency currencycode currencyid pricecurrency pricecurrencycode priceunit variantcurrency waehrung "
        "wahrung devise moneda valuta"
    ).split(),
    "availability": (
        "availability stockstatus availabilitystatus isinstock instock available isavailable status stock "
        "inventory inventoryquantity variantinventoryqty stockquantity stockqty quantity qty lagerbestand verfugbarkeit"
    ).split(),
    "link": (
        "link url producturl productlink producthref pageurl permalink href deeplink canonicalurl productpageurl "
        "detailurl itemurl lien enlace websiteurl"
    ).split(),
    "images": (
        "imagelink imageurl images image imagesrc mainimage mainimageurl img imgurl baseimage picture pictures "
        "pictureurl photo photos photourl primaryimage primaryimageurl imageurls mainimagelink largeimage imagesurl "
        "img500x500 imghigh imageslist imagepath imagefile imagename filename featuredimage apifeaturedimage "
        "thumbnail imagethumbnail bild bildurl bildlink urlimage foto zdjecie immagine imageurl1 image1 imagelink1 "
        "picture1 imgurl1 img1 otherimageurl1"
    ).split(),
    "locale": "locale language lang contentlanguage languagecode sprache langue".split(),
    "deleted": "deleted isdeleted removed isremoved tombstone".split(),
}  # type: ignore[assignment]

#: source names of further pictures; they follow the first picture in the order of the columns
MORE_IMAGES = re.compile(
    r"(additional|other|extra|more|alternate|alternative|secondary|gallery)(image|picture|photo|img)(link|url|src)?s?\d*"
    r"|(image|picture|photo|img|imageurl|imagelink|imagesrc|pictureurl|pictures|images)\d{1,2}"
)
JOINTS = {"category": " > ", "images": "\n"}


def plain(name: str) -> str:
    """A name as it is compared: "g:Product Type " -> "producttype"."""
    name = name.strip().casefold()
    name = name[2:] if name.startswith("g:") else name
    return "".join(c for c in name if c.isalnum()) or name


def explicit(columns: Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """A configured mapping as tuples. Raises FeedError for a canonical column that does not exist."""
    for canonical in columns:
        if canonical not in ALIASES:
            raise FeedError(
                f"columns names {canonical!r}, which is no column of ours",
                expected="one of " + ", ".join(closest(canonical, ALIASES)),
            )
    return {canonical: (names,) if isinstance(names, str) else tuple(names) for canonical, names in columns.items()}


def missing(mapping: Mapping[str, Sequence[str]], names: Iterable[str]) -> FeedError | None:
    """The error that names a mapped column that is not among the source's, or None."""
    names = list(names)
    for canonical, sources in mapping.items():
        for source in sources:
            if source not in names:
                return FeedError(
                    f"columns.{canonical} names {source!r}, which the feed does not have",
                    expected="one of " + ", ".join(repr(name) for name in closest(source, names)),
                )
    return None


def found(names: Sequence[str], mapping: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """`mapping`, with the canonical columns it leaves out found among `names` (columns that hold something)."""
    mapping = dict(mapping)
    used = {source for sources in mapping.values() for source in sources}
    by_plain: dict[str, str] = {}
    for name in names:
        if name not in used:
            by_plain.setdefault(plain(name), name)
    for canonical, aliases in ALIASES.items():
        if canonical in mapping:
            continue
        chosen = [by_plain[alias] for alias in aliases if alias in by_plain][:1]
        if canonical == "images":
            chosen += [name for name in names if MORE_IMAGES.fullmatch(plain(name)) and name not in (*chosen, *used)]
        if chosen:
            mapping[canonical] = tuple(chosen)
            for name in chosen:
                by_plain.pop(plain(name), None)
    return mapping


def closest(name: str, names: Iterable[str], most: int = 12) -> list[str]:
    """`names`, the most similar first."""
    return sorted(names, key=lambda other: -difflib.SequenceMatcher(None, plain(name), plain(other)).ratio())[:most]
