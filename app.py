"""The way in: `streamlit run app.py`."""

from resnet_lab.ui import shell

shell.run()
