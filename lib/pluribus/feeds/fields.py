"""The words shops use for columns: which source name means which canonical column. Imports nothing of ours.

Names are compared without case, spaces, punctuation and the "g:" of Google's namespace, so "Product Name",
"product_name" and "productName" are one. Earlier aliases win.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache


@lru_cache(4096)
def plain(name: str) -> str:
    """A name as it is compared: "g:Product Type " -> "producttype"."""
    name = name.strip().casefold()
    return "".join(c for c in name.removeprefix("g:") if c.isalnum()) or name


_NAMES = {
    "product_id": """productid id sku variantsku itemid offerid itemsku sellersku variantid uniqid uid articleid
        articlenumber articleno article artikelnummer artikelnr itemnumber itemno styleid asin
        productcode productnumber productsku code reference referenceid ref key mpn upc ean gtin barcode
        артикул код offeridentifier""",
    "group_id": """groupid itemgroupid groupe parentid parentsku parent parentproductid configurablesku modelid
        masterid mastersku productgroupid productgroup variantof variantgroup""",
    "title": """title name productname productdisplayname producttitle itemname itemtitle displayname
        displaytitle designation titel titre titulo nombre nome naam bezeichnung artikelname
        artikelbezeichnung produktname nazwa productnaam libelle model название наименование товар""",
    "description": """description productdescription longdescription bodyhtml body htmldescription fulldescription
        desc descriptionhtml itemdescription contentdescription beschreibung langbeschreibung
        produktbeschreibung descripcion descrizione omschrijving opis popis shortdescription shortdesc
        summary kurzbeschreibung excerpt details описание""",
    "brand": """brand brandname productbrand manufacturer manufacturername vendor vendorname supplier designer
        maker producer label marke hersteller marque fabricant marca merk producent značka бренд
        производитель""",
    "category": """producttype categorypath productcategory categoryfullpath category categories categoryname
        categorytree googleproductcategory type subcategory articletype mastercategory maincategory
        breadcrumb breadcrumbs department kategorie kategoriepfad warengruppe categorie categoria
        kategoria categorytext categoriesxyz standardizedproducttype productcategorystandard
        googleshoppinggoogleproductcategory section категория categorydetails""",
    "colour": """color colour basecolor basecolour colorname colourname primarycolor productcolor colormap
        attributecolor farbe couleur kleur colore kolor barva färg culoare цвет""",
    "size": """size sizename sizes productsize grosse größe groesse taille talla taglia maat rozmiar velikost
        volume размер""",
    "gender": """gender targetgender sex googleshoppinggender geschlecht genre genero genere pohlaví пол""",
    "material": """material materials fabric composition materialtype googleshoppingmaterial matiere matière
        materiale materiaal материал""",
    "price": """price regularprice listprice originalprice retailprice fullprice baseprice unitprice priceamount
        pricevalue variantprice standardprice pricewithvat pricevat priceinclvat priceincludingtax
        priceinctax pricettc pricetaxincl pricetaxincluded pricetaxexcluded itemprice productprice
        sellprice preis verkaufspreis bruttopreis prix prixttc precio prezzo prijs cena msrp rrp
        currentprice amount priceusd priceeur pricegbp цена offersprice pricesprice""",
    "sale_price": """saleprice specialprice discountprice discountedprice pricediscounted promoprice promotionprice
        offerprice reducedprice salepriceamount salepricevalue finalprice markdownprice angebotspreis
        aktionspreis sonderpreis prixsolde preciooferta""",
    "currency": """currency currencycode currencyid pricecurrency pricecurrencycode variantcurrency currencyiso
        waehrung währung devise moneda valuta валюта offerspricecurrency""",
    "availability": """availability stockstatus availabilitystatus isavailable isinstock instock stockavailability
        available inventorystatus stock inventory inventoryquantity inventoryqty inventorylevel
        variantinventoryqty stockquantity stockqty stocklevel quantity qty qtyinstock bestand
        lagerbestand verfügbarkeit verfugbarkeit disponibilite disponibilité disponibilidad наличие
        остаток offersavailability""",
    "link": """link url producturl productlink producthref pageurl permalink href deeplink canonicalurl
        canonicallink productpageurl detailurl itemurl buyurl awdeeplink lien enlace ссылка offersurl""",
    "images": """imagelink imageurl images image imagesrc mainimage mainimageurl mainimagelink imglink img imgurl
        baseimage picture pictures pictureurl photo photos photourl primaryimage primaryimageurl
        imageurls imageurlsxyz imagelinks largeimage imagelarge imagesurl imgs imglist imagelist
        img500x500 imghigh imagepath imagefile imagename filename featuredimage apifeaturedimage
        featuredimagesrc merchantimageurl awimageurl bild bilder bildurl bildlink bild1 urlimage foto
        fotos zdjecie immagine imagen imageurl1 image1 imagelink1 picture1 imgurl1 img1 thumbnail
        imagethumbnail thumbnailurl фото изображение картинка""",
    "locale": "locale language lang contentlanguage languagecode sprache langue",
    "deleted": "deleted isdeleted removed isremoved tombstone",
}
#: canonical column -> customary source names, best first
ALIASES = {canonical: tuple(map(plain, names.split())) for canonical, names in _NAMES.items()}

#: source names that are levels of one category, highest first
LEVELS = (
    ("department", "category", "subcategory"),
    ("mastercategory", "subcategory", "articletype"),
    ("maincategory", "subcategory", "subsubcategory"),
    ("category", "subcategory", "subsubcategory"),
    *(
        tuple(f"{stem}{place}" for place in range(first, first + 6))
        for stem in ("categorylevel", "categoryl", "category", "categorie", "kategorie", "level", "cat")
        for first in (0, 1)
    ),
)
#: source names of further pictures; they follow the first picture in the order of the columns
MORE_IMAGES = re.compile(
    r"(additional|other|extra|more|alternate|alternative|secondary|gallery)(image|picture|photo|img)(link|url|src)?s?\d*"
    r"|(image|picture|photo|img|imageurl|imagelink|imagesrc|pictureurl|pictures|images|bild|foto)\d{1,2}"
    r"|(additional|gallery)(image)?(links|urls|images)|imgurlalternative"
)
_KNOWN = frozenset(name for names in (*ALIASES.values(), *LEVELS) for name in names)
#: what stands between the values of several source columns that are joined
JOINTS = {"category": " > ", "images": "\n"}


def means(name: str, canonical: str) -> bool:
    """Whether a source name is one of those that mean a canonical column."""
    return plain(name) in ALIASES[canonical]


def is_known(name: str) -> bool:
    """Whether a source name may mean one of our columns."""
    return plain(name) in _KNOWN or bool(MORE_IMAGES.fullmatch(plain(name)))


def found(names: Sequence[str], mapping: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """`mapping`, with the canonical columns it leaves out found among `names` (the columns that hold something)."""
    mapping = dict(mapping)
    used = {source for sources in mapping.values() for source in sources}
    free: dict[str, str] = {}
    for name in names:
        if name not in used:
            free.setdefault(plain(name), name)
    for canonical, aliases in ALIASES.items():
        if canonical in mapping:
            continue
        chosen = [free[alias] for alias in aliases if alias in free][:1]
        if canonical == "category":
            chosen = _levels(free) or chosen
        elif canonical == "images":
            chosen += [name for key, name in free.items() if MORE_IMAGES.fullmatch(key) and name not in chosen]
        if chosen:
            mapping[canonical] = tuple(chosen)
            free = {key: name for key, name in free.items() if name not in chosen}
    return mapping


def _levels(free: Mapping[str, str]) -> list[str]:
    """The source columns that together are a category path, if two or more are there."""
    for family in LEVELS:
        there = [free[name] for name in family if name in free]
        if len(there) > 1 and family[0] in free:
            return there
    return []


def closest(name: str, names: Iterable[str], most: int = 12) -> list[str]:
    """`names`, the most similar first."""
    return sorted(names, key=lambda other: -difflib.SequenceMatcher(None, plain(name), plain(other)).ratio())[:most]
