"""The script that Streamlit runs anew at every click; everything else is imported once."""

import sys

from pluribus.app import page

if __name__ == "__main__":
    page(sys.argv[1])
