"""Drives an IPS endpoint with a stock SOAP client, as the WSDL describes it."""

import sys

import zeep
import zeep.exceptions
from zeep.transports import Transport

COMMON = "http://www.scene7.com/IpsApi/xsd"


def main(wsdl, endpoint, user, password, good, poisoned):
    client = zeep.Client(wsdl, transport=Transport(timeout=30))
    binding = next(
        name for name in client.wsdl.bindings if name.endswith("IpsApiServiceSoapBinding")
    )
    service = client.create_service(binding, endpoint)
    header_type = client.get_element(f"{{{COMMON}}}authHeader")
    header = {"authHeader": header_type(user=user, password=password)}
    wrong = {"authHeader": header_type(user=user, password="wrong")}

    def show(name, call):
        try:
            print(name, "->", call())
        except zeep.exceptions.Fault as fault:
            detail = fault.detail[0]
            fields = " ".join(child.text for child in detail)
            print(name, "-> fault", detail.tag, fields)

    def invalidate(urls, soap_headers):
        counts = service.cdnCacheInvalidation(
            companyHandle="c|6", urlArray={"items": urls}, _soapheaders=soap_headers
        )
        return counts.successCount, counts.warningCount, counts.errorCount

    def company():
        info = service.getCompanyInfo(companyName="AcmeCorp", _soapheaders=header)
        info = getattr(info, "companyInfo", info)
        return info.companyHandle, info.name, info.rootPath

    def named_company():
        info = service.getCompanyInfo(companyHandle="c|6", _soapheaders=header)
        info = getattr(info, "companyInfo", info)
        return info.name, info.expires.isoformat()

    def login(given):
        return service.checkLogin(email=user, password=given, _soapheaders=header)

    def presets(handle):
        formats = service.getImageFormats(companyHandle=handle, _soapheaders=header)
        return [(item.name, item.urlModifier) for item in formats]

    def search():
        found = service.searchAssets(
            companyHandle="c|6",
            folder="AcmeCorp/Spring",
            includeSubfolders=True,
            publishState="MarkedForPublish",
            assetTypeArray={"items": ["Image"]},
            sortBy="Created",
            _soapheaders=header,
        )
        items = found.assetArray.items
        return found.totalRows, [(item.name, item.type, item.readyForPublish) for item in items]

    def named():
        found = service.getAssetsByName(
            companyHandle="c|6", nameArray={"items": ["spin", "lost"]}, _soapheaders=header
        )
        found = found if isinstance(found, list) else found.items
        return [(item.name, item.type) for item in found]

    def history(handle):
        told = service.getAssetPublishHistory(
            companyHandle="c|6", assetHandle=handle, _soapheaders=header
        )
        told = told.items if hasattr(told, "items") else told or []
        return [(item.serverName, item.contextName, item.publishFormat) for item in told]

    show("company", company)
    show("company by handle", named_company)
    show("login", lambda: login(password))
    show("wrong login", lambda: login("wrong"))
    show("presets", lambda: presets("c|6"))
    show("presets of another company", lambda: presets("c|7"))
    show("search", search)
    show("named", named)
    show("history", lambda: history("a|2"))
    show("history of none", lambda: history("a|1"))
    show("history of nothing", lambda: history("a|9"))
    show("good", lambda: invalidate([good], header))
    show("poisoned", lambda: invalidate([good, poisoned], header))
    show("wrong password", lambda: invalidate([good], wrong))


main(*sys.argv[1:])
