"""The way in: `streamlit run app.py`."""

from resnet_lab.ui.common import navigation

navigation.run()
